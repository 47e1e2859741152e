"""What people read, in German and English: `words/de/AREA.po` and `words/en/AREA.po` by area, and how numbers look."""
