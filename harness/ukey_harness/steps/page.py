"""A page as a person sees it: its words, its links, its forms with their buttons."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Button:
    """A button: its words, and whether it can be pressed."""

    text: str
    disabled: bool


@dataclass
class Form:
    """A form: where it goes, what stands in it, its buttons."""

    action: str
    multipart: bool
    fields: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)


@dataclass
class Link:
    """A link: its words and its address."""

    text: str
    href: str


class Page(HTMLParser):
    """A page that was fetched; loose_buttons are those that stand in no form."""

    def __init__(self, url: str, status: int, html: str) -> None:
        super().__init__()
        self.url = url
        self.status = status
        self.forms: list[Form] = []
        self.links: list[Link] = []
        self.images: list[str] = []
        self.loose_buttons: list[Button] = []
        self._words: list[str] = []
        self._form: Form | None = None
        self._button: Button | None = None
        self._link: Link | None = None
        self._select = ""
        self._silent = 0
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """All words of the page, one space between them."""
        return " ".join(" ".join(self._words).split())

    def form_with(self, button: str) -> Form | None:
        """Return the first form that has a button with these words."""
        for form in self.forms:
            if any(button == each.text for each in form.buttons):
                return form
        return None

    def can_press(self, button: str) -> bool:
        """Whether a button with these words is there and not disabled."""
        all_buttons = [*self.loose_buttons, *(each for form in self.forms for each in form.buttons)]
        return any(each.text == button and not each.disabled for each in all_buttons)

    def has_link(self, text: str) -> bool:
        """Whether a link with these words is there."""
        return any(link.text == text for link in self.links)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in a tag (HTMLParser's interface)."""
        given = {name: value or "" for name, value in attrs}
        match tag:
            case "script" | "style":
                self._silent += 1
            case "form":
                multipart = given.get("enctype") == "multipart/form-data"
                self._form = Form(given.get("action", ""), multipart)
                self.forms.append(self._form)
            case "input":
                self._input(given)
            case "select":
                self._select = given.get("name", "")
                if self._form is not None:
                    self._form.fields.setdefault(self._select, "")
            case "option" if "selected" in given and self._form is not None:
                self._form.fields[self._select] = given.get("value", "")
            case "button":
                self._button = Button("", "disabled" in given)
                holder = self.loose_buttons if self._form is None else self._form.buttons
                holder.append(self._button)
            case "a":
                self._link = Link("", given.get("href", ""))
                self.links.append(self._link)
            case "img":
                self.images.append(given.get("src", ""))

    def handle_endtag(self, tag: str) -> None:
        """Take in the end of a tag."""
        match tag:
            case "script" | "style":
                self._silent -= 1
            case "form":
                self._form = None
            case "button":
                self._button = None
            case "a":
                self._link = None

    def handle_data(self, data: str) -> None:
        """Take in words."""
        if self._silent or not data.strip():
            return
        self._words.append(data)
        if self._button is not None:
            self._button.text += data.strip()
        if self._link is not None:
            self._link.text += data.strip()

    def _input(self, given: dict[str, str]) -> None:
        if self._form is None or "name" not in given:
            return
        if given.get("type") == "file":
            self._form.files.append(given["name"])
        else:
            self._form.fields[given["name"]] = given.get("value", "")
