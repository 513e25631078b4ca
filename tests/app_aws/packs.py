"""Model folders packed as archives, for tests."""

import io
import tarfile
import zipfile


def installed(models):
    """Every name in the folder of models: leftovers would show."""
    return sorted(path.name for path in models.iterdir())


def members(source, prefix="", **extra):
    return {prefix + path.name: path.read_bytes() for path in sorted(source.iterdir())} | extra


def tar_of(files, link=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo(link[0])
            member.type, member.linkname = tarfile.SYMTYPE, link[1]
            tar.addfile(member)
    return out.getvalue()


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


def saved(place, data):
    place.write_bytes(data)
    return str(place)
