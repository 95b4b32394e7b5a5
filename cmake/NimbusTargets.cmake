# One rule for every folder of src/: its .cc files are a static library nimbus_NAME, its *_test.cc
# files one doctest program NAME_test, run by ctest and by the test runner.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(NIMBUS_WERROR "Treat warnings as errors" ON)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wno-gnu-statement-expression -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # `({ … })` in TRY is deliberate; -Wpedantic would refuse it.
  # gcc 12 takes Asio's own coroutine-frame allocator for a mismatch once it is inlined.
  add_compile_options(-Wno-pedantic -Wno-mismatched-new-delete)
else()
  add_compile_options(-Wno-gnu-statement-expression-from-macro-expansion)
endif()
if(NIMBUS_WERROR)
  add_compile_options(-Werror)
endif()
# Asio and Beast are compiled once, in nimbus_net. A request is a dozen nested coroutines; Asio keeps
# two freed frames a thread for reuse, which sends the other ten to malloc and back.
add_compile_definitions(BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=16)


# nimbus_library(NAME [SOURCES file...] [EXCLUDE file...] DEPS target...)
# Without SOURCES: every .cc of the folder that is not a test and not in EXCLUDE.
function(nimbus_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;EXCLUDE;DEPS;TEST_DEPS" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cc)
    list(FILTER ARG_SOURCES EXCLUDE REGEX "_test\\.cc$")
    foreach(file ${ARG_EXCLUDE})
      list(REMOVE_ITEM ARG_SOURCES ${file})
    endforeach()
    file(GLOB tests CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *_test.cc)
  endif()
  if(ARG_SOURCES)
    add_library(nimbus_${name} STATIC ${ARG_SOURCES})
    target_include_directories(nimbus_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(nimbus_${name} PUBLIC ${ARG_DEPS})
  else()
    add_library(nimbus_${name} INTERFACE)
    target_include_directories(nimbus_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(nimbus_${name} INTERFACE ${ARG_DEPS})
  endif()
  if(tests)
    nimbus_test(${name}_test SOURCES ${tests} DEPS nimbus_${name} ${ARG_TEST_DEPS})
  endif()
endfunction()

# nimbus_test(NAME SOURCES file... DEPS target...): a doctest program.
function(nimbus_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/cmake/doctest_main.cc)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
