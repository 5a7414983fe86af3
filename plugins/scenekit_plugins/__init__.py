"""Task plugins that ship with scenekit; each module holds one task and its hook implementations."""
