"""Figures as accessible SVG with the same numbers as a table. Pure: no Django, no I/O; pages, reports and notebooks
call the same functions.

A figure must survive print and colour-blindness, so nothing rests on hue: the heat map's scale runs from light to dark,
each line has its own dash and marker, stacked parts have outlines and are named in a legend. Colours are CSS variables
with a fixed fallback: on a page they follow the theme, elsewhere they stand by themselves. A missing value is drawn as a
gap (hatched in maps) and printed as “—”, never as zero.
"""
