#!/usr/bin/env bash
# Whatever the container is told to run, with ROS and this package found.
set -e
. /opt/ros/jazzy/setup.bash
. /ws/install/setup.bash
exec "$@"
