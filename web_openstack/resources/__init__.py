"""One HTTP resource a file. A responder reads its request, asks the core, and writes the answer."""
