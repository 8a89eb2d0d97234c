# folio_library(NAME SOURCES…): a library room; folio_flags(TARGET): what every target of ours is compiled with.
function(folio_flags target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -fno-math-errno -Wnon-virtual-dtor -Woverloaded-virtual
    $<$<BOOL:${FOLIO_WERROR}>:-Werror>
    # g++ 12 reports its own AVX-512 intrinsics (GCC bug 105593) and its own std::string (GCC bug 105651). Uses of what is
    # not initialized are reported by builds for no processor in particular.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-restrict>
    $<$<AND:$<BOOL:${FOLIO_NATIVE}>,$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-uninitialized>
    $<$<BOOL:${FOLIO_NATIVE}>:-march=native>
    # With AVX-512, g++ 12 fills constants such as {1, 1, 1, 0} to the end with their first word when it copies them whole.
    $<$<AND:$<BOOL:${FOLIO_NATIVE}>,$<CXX_COMPILER_ID:GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,12>,$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>>:-mmove-max=128;-mstore-max=128>
    $<$<AND:$<BOOL:${FOLIO_NATIVE}>,$<CONFIG:Release>>:-mprefer-vector-width=512>)
  if(FOLIO_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${FOLIO_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${FOLIO_SANITIZE})
    file(RELATIVE_PATH room ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    if(room MATCHES "^(data|examples|tests)")  # little of the time of a run, half of that of its build
      target_compile_options(${target} PRIVATE -O1)
    endif()
  endif()
endfunction()

function(folio_library name)
  add_library(folio_${name} ${ARGN})
  add_library(folio::${name} ALIAS folio_${name})
  set_target_properties(folio_${name} PROPERTIES EXPORT_NAME ${name})
  folio_flags(folio_${name})
  target_include_directories(folio_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<INSTALL_INTERFACE:include> $<INSTALL_INTERFACE:include/folio>)
endfunction()
