# cmake --install: headers in include/folio/ROOM, libraries, and the package that find_package(Folio) reads. What the
# package looks for in its turn is read off the rooms' link libraries, so that it cannot fall behind them.
option(FOLIO_INSTALL "Add install rules" ${PROJECT_IS_TOP_LEVEL})
if(NOT FOLIO_INSTALL)
  return()
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(rooms autograd nn optim data)
# What only the sources include: kernels, what ops and optimizers share, the tests' hooks, the gradient checker's own.
set(private "")
foreach(header cpu ops check.hpp fault.hpp blame.hpp gradcheck_detail.hpp dependence.hpp)
  list(APPEND private PATTERN ${header} EXCLUDE)
endforeach()
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Folio)

# How find_dependency asks for the package behind a target's namespace.
set(find_Eigen3 "Eigen3 3.4 NO_MODULE")
set(find_range-v3 "range-v3")
set(find_OpenMP "OpenMP COMPONENTS CXX")
set(find_Threads "Threads")
set(find_DNNL "dnnl CONFIG")
set(find_dnnl "dnnl CONFIG")
set(find_CURL "CURL")
set(find_OpenSSL "OpenSSL")
set(find_fmt "fmt")
set(find_nlohmann_json "nlohmann_json")
set(find_tomlplusplus "tomlplusplus")

set(FOLIO_DEPENDENCIES "")
foreach(room IN LISTS rooms)
  get_target_property(libraries folio_${room} INTERFACE_LINK_LIBRARIES)
  string(REGEX REPLACE "\\$<BUILD_INTERFACE:[^>]*>" "" libraries "${libraries}")
  string(REGEX MATCHALL "[A-Za-z0-9_.-]+::" namespaces "${libraries}")
  foreach(namespace IN LISTS namespaces)
    string(REPLACE "::" "" namespace ${namespace})
    if(namespace STREQUAL "folio")
      continue()
    endif()
    if(NOT DEFINED find_${namespace})
      message(FATAL_ERROR "folio_${room} links ${namespace}::…: say in FolioInstall.cmake which package that is")
    endif()
    list(APPEND FOLIO_DEPENDENCIES "find_dependency(${find_${namespace}})")
  endforeach()

  install(TARGETS folio_${room} EXPORT FolioTargets COMPONENT Folio)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/ DESTINATION include/folio/${room}
    COMPONENT Folio FILES_MATCHING PATTERN "*.hpp" PATTERN "*.def" ${private})
endforeach()
list(REMOVE_DUPLICATES FOLIO_DEPENDENCIES)
list(JOIN FOLIO_DEPENDENCIES "\n" FOLIO_DEPENDENCIES)

install(EXPORT FolioTargets NAMESPACE folio:: DESTINATION ${package_dir} COMPONENT Folio)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/FolioConfig.cmake.in ${PROJECT_BINARY_DIR}/FolioConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/FolioConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/FolioConfig.cmake ${PROJECT_BINARY_DIR}/FolioConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT Folio)
