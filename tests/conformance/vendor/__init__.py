"""A waste-lock controller of map wlc-1, and a legacy counter, written from the map's text alone.

Nothing here imports the product or a Modbus library: what both sides share by mistake would be found by nobody.
"""
