"""An Android device reached by adb."""
