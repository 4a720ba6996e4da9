# cmake --install: tools, headers and .td files, and the CMake package gqa with one target per component, gqa::runtime,
# gqa::layer, gqa::dialect and gqa::passes. Includes stay rooted as in the repository: #include "runtime/gqa.h".
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(GQA_INSTALLED_COMPONENTS)
foreach(component runtime layer dialect passes)
  if(TARGET gqa_${component})
    list(APPEND GQA_INSTALLED_COMPONENTS ${component})
  endif()
endforeach()

set(GQA_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/gqa)
foreach(component IN LISTS GQA_INSTALLED_COMPONENTS)
  add_library(gqa::${component} ALIAS gqa_${component})
  set_target_properties(gqa_${component} PROPERTIES EXPORT_NAME ${component})
  target_include_directories(gqa_${component} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/gqa>)
  install(TARGETS gqa_${component} EXPORT gqa-${component})
  install(EXPORT gqa-${component} NAMESPACE gqa:: DESTINATION ${GQA_PACKAGE_DIR})
  if(component STREQUAL layer)
    continue() # its headers are among those of the runtime
  endif()
  foreach(root ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
    install(DIRECTORY ${root}/${component}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gqa/${component}
      FILES_MATCHING PATTERN "*.h" PATTERN "*.td" PATTERN "*.inc" PATTERN CMakeFiles EXCLUDE)
  endforeach()
endforeach()

foreach(tool gqa-opt gqa-compile gqa-run)
  if(TARGET ${tool})
    # The installation may be moved as a whole; libMLIR stays where it is.
    set_target_properties(${tool} PROPERTIES
      INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}"
      INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS ${tool})
  endif()
endforeach()

# gqa-compile --emulate finds it beside its own directory.
if(TARGET gqa-compile)
  install(TARGETS gqa_emulator ARCHIVE DESTINATION lib)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/gqaConfig.cmake.in ${CMAKE_BINARY_DIR}/gqaConfig.cmake
  INSTALL_DESTINATION ${GQA_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/gqaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gqaConfig.cmake ${CMAKE_BINARY_DIR}/gqaConfigVersion.cmake
  DESTINATION ${GQA_PACKAGE_DIR})
