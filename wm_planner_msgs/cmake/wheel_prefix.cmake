# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
#
# Read right after project() when a wheel is built against the ROS 2 wheels (pyproject.toml);
# colcon never reads it. It makes up for two things that those wheels leave undone.

# The wheels unpack share/, lib/ and include/ into the root of the environment that builds, which
# CMake does not search by itself. ament_package lies at <root>/lib/pythonX.Y/site-packages/.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND "${Python3_EXECUTABLE}" -c
    "import pathlib, ament_package as p; print(pathlib.Path(p.__file__).resolve().parents[4])"
  OUTPUT_VARIABLE _wheel_prefix
  OUTPUT_STRIP_TRAILING_WHITESPACE
  COMMAND_ERROR_IS_FATAL ANY)
list(PREPEND CMAKE_PREFIX_PATH "${_wheel_prefix}")
set(_ament_prefixes "${_wheel_prefix}")
if(DEFINED ENV{AMENT_PREFIX_PATH})
  string(APPEND _ament_prefixes ":$ENV{AMENT_PREFIX_PATH}")
endif()
set(ENV{AMENT_PREFIX_PATH} "${_ament_prefixes}")

# Their <pkg>__rosidl_generator_py targets name include folders of the machine that built the
# wheels; CMake refuses an imported target with a folder that does not exist.
function(_forget_absent_include_folders)
  get_property(_imported DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _imported)
    get_target_property(_folders "${_target}" INTERFACE_INCLUDE_DIRECTORIES)
    if(_folders)
      set(_present "")
      foreach(_folder IN LISTS _folders)
        # A generator expression cannot be tested yet; it stays.
        if(_folder MATCHES "^\\$<" OR EXISTS "${_folder}")
          list(APPEND _present "${_folder}")
        endif()
      endforeach()
      set_property(TARGET "${_target}" PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${_present}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _forget_absent_include_folders)
