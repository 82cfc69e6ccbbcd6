"""Opens files from elsewhere in a process of its own, with limits: what goes wrong there stays there."""
