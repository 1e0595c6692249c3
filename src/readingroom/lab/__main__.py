"""`python -m readingroom.lab …` is `readingroom lab …`."""

from .cli import main

main()
