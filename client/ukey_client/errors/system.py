"""What the operating system refuses, in the holder's words."""

import errno
from typing import Final

_WORDS: Final = {
    errno.ENOENT: "文件或文件夹不存在",
    errno.EACCES: "没有权限",
    errno.EPERM: "没有权限",
    errno.EISDIR: "这是一个文件夹",
    errno.ENOTDIR: "路径中有一段不是文件夹",
    errno.EEXIST: "文件已存在",
    errno.EROFS: "磁盘是只读的",
    errno.ENOSPC: "磁盘空间不足",
    errno.EDQUOT: "磁盘配额已用完",
    errno.EFBIG: "文件过大",
    errno.ENAMETOOLONG: "文件名过长",
    errno.ELOOP: "符号链接形成了循环",
    errno.EMFILE: "打开的文件过多",
    errno.ENFILE: "打开的文件过多",
    errno.EIO: "磁盘读写出错",
    errno.ENXIO: "设备不可用",
    errno.ENODEV: "设备不可用",
    errno.EBUSY: "文件正被占用",
    errno.ETXTBSY: "文件正被占用",
}


def words_of(error: OSError) -> str:
    """Say in Chinese what an OSError means; one that is not known keeps its POSIX name."""
    number = error.errno or 0
    known = _WORDS.get(number)
    if known is not None:
        return known
    name = errno.errorcode.get(number)
    return f"系统错误 {name}" if name else "系统错误"
