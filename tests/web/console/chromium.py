"""The browser of this machine, if it has one: it is used as it stands, and none is ever fetched."""

import shutil
from typing import Final

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
# In a container, root has no sandbox to give; a small /dev/shm would end the tab.
FLAGS: Final = ("--no-sandbox", "--disable-dev-shm-usage")
