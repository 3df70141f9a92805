"""What all pictures share: colours and shapes of SVG, Mermaid's way to escape, texts that are cut and broken into lines. Pure."""
