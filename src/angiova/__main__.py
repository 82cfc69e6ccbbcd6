"""`python -m angiova` is the same as `angiova`."""

from angiova.cli import main

main()
