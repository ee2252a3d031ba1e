"""The adb target: an Android device."""
