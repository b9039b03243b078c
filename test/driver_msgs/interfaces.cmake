# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
#
# What every package here does. rclpy with Fast DDS needs the C half alone; the generators of the
# other half are taken off the list, which is a large part of the time that building takes.
include("${CMAKE_CURRENT_LIST_DIR}/../../wm_planner_msgs/cmake/wheel_prefix.cmake")
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(action_msgs REQUIRED)
find_package(sensor_msgs REQUIRED)
set(STATIC_ROSIDL_TYPESUPPORT_C "rosidl_typesupport_fastrtps_c")
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX "_cpp:|introspection")
file(GLOB _interfaces RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS
  "msg/*.msg" "srv/*.srv" "action/*.action")
rosidl_generate_interfaces(${PROJECT_NAME} ${_interfaces} DEPENDENCIES sensor_msgs)
ament_package()
