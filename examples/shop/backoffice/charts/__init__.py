"""The geometry of the charts, which the templates draw as SVG."""
