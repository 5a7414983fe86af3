"""Video files, cameras and network streams as images with their times, and video files of images."""
