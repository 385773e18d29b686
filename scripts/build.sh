#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the ROS package against the ROS 2 wheels of a virtual environment:  build.sh VENV
set -eu
venv=$(cd "$1" && pwd)
"$venv/bin/python" scripts/prepare_prefix.py
unset PYTHONPATH COLCON_PREFIX_PATH
export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH" AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
colcon --log-base log build --symlink-install --paths . --event-handlers console_direct- \
  --cmake-args -DBUILD_TESTING=OFF
"$venv/bin/python" scripts/prepare_prefix.py install/groundmore
