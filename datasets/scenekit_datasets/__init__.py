"""The data sets of scenekit itself: one module or package each."""
