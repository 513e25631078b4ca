"""A web tier that dies at one of its deletions: the first one that is asked for of a kind, and only that."""

WEB = """\
import os, signal, sys

if "web" in sys.orig_argv:
    from botocore.client import BaseClient

    {before}
    call = BaseClient._make_api_call

    def dies(self, operation, parameters):
        if operation == "DeleteObject" and parameters[{field!r}].{test}:
            try:
                os.close(os.open({note!r}, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return call(self, operation, parameters)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, operation, parameters)

    BaseClient._make_api_call = dies
"""


def dying_at(folder, field, test, before="pass"):
    """The environment of a cloud whose web tier ends with that call. ``test``: of the parameter ``field``, a method.

    Each tier is a process of its own, so it gets in as ``sitecustomize``; ``before``: a statement of the web tier's.
    """
    text = WEB.format(field=field, test=test, before=before, note=str(folder / "killed"))
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": str(folder)}
