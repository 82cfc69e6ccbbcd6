"""Sa2VA as a native transformers model: InternVL and SAM2 joined by the `[SEG]` token."""

import logging

# On a CPU it asks at every start for a package that would fetch code from a hub; what it then does itself is enough.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
