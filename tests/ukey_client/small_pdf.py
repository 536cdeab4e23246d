"""PDFs written by hand, so that each of their oddities is known."""


def make_pdf(
    text: str = "roster",
    *,
    pages: int = 1,
    size: tuple[float, float] = (595, 842),
    rotate: int = 0,
    crop: tuple[float, float, float, float] | None = None,
    inherit: bool = False,
) -> bytes:
    """Write a PDF 1.7 with a title and empty pages; `inherit` puts the box on the pages' parent."""
    box = f"/MediaBox [0 0 {size[0]} {size[1]}]"
    extra = f" /Rotate {rotate}" if rotate else ""
    extra += f" /CropBox [{' '.join(map(str, crop))}]" if crop else ""
    first = 4
    kids = " ".join(f"{first + 2 * index} 0 R" for index in range(pages))
    title = text.encode("utf-16-be").hex().upper()
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} {box if inherit else ''} >>",
        f"<< /Title <FEFF{title}> >>",
    ]
    for index in range(pages):
        stream = "0.8 g 20 20 60 30 re f"
        own = "" if inherit else box
        objects.append(
            f"<< /Type /Page /Parent 2 0 R {own}{extra} /Resources << >> "
            f"/Contents {first + 2 * index + 1} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode()
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    for offset in offsets:
        out += f"{offset:010d} 00000 n \n".encode()
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 3 0 R >>\n".encode()
    out += f"startxref\n{start}\n%%EOF\n".encode()
    return bytes(out)
