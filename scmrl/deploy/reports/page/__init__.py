"""Reports as one self-contained HTML page: no network, no font, no library; complete without its
few lines of script.
"""
