# Everything merit builds with. Versions are Debian 12's, and the wheels pinned in requirements.txt.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Paths below the source folder are hashed as relative, so that another clone finds what this one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
                                  ${CCACHE_PROGRAM})
endif()

find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
# FLINT and Arb ship no package files.
find_library(MERIT_FLINT_LIBRARY flint REQUIRED)
find_library(MERIT_ARB_LIBRARY NAMES flint-arb arb REQUIRED)
find_library(MERIT_GMP_LIBRARY gmp REQUIRED)
add_library(merit_flint INTERFACE)
target_link_libraries(merit_flint INTERFACE ${MERIT_ARB_LIBRARY} ${MERIT_FLINT_LIBRARY} ${MERIT_GMP_LIBRARY})
if(MERIT_TESTS)
  find_package(GTest REQUIRED)
endif()

add_library(merit_flags INTERFACE)
target_compile_options(merit_flags INTERFACE -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns falsely inside std::string and std::optional when it inlines them.
  target_compile_options(merit_flags INTERFACE -Wno-restrict -Wno-maybe-uninitialized -Wno-dangling-pointer)
endif()
if(MERIT_SANITIZE)
  target_compile_options(merit_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(merit_flags INTERFACE -fsanitize=address,undefined)
endif()

# libtorch: the CPU or CUDA wheel in .venv, or any torch that MERIT_TORCH_DIR names (the folder with include/ and lib/).
if(MERIT_TORCH)
  if(NOT MERIT_TORCH_DIR)
    file(GLOB torch_candidates ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
    list(POP_FRONT torch_candidates MERIT_TORCH_DIR)
  endif()
  if(NOT EXISTS "${MERIT_TORCH_DIR}/include/ATen/ATen.h")
    message(FATAL_ERROR "libtorch not found: run scripts/bootstrap.sh, or set MERIT_TORCH_DIR to a torch folder (include/, lib/)")
  endif()
  add_library(merit_torch INTERFACE)
  # -idirafter: the wheel bundles another fmt, which must not hide Debian's.
  target_compile_options(merit_torch INTERFACE
    "SHELL:-idirafter ${MERIT_TORCH_DIR}/include"
    "SHELL:-idirafter ${MERIT_TORCH_DIR}/include/torch/csrc/api/include")
  target_link_options(merit_torch INTERFACE -Wl,-rpath,${MERIT_TORCH_DIR}/lib)
  target_link_libraries(merit_torch INTERFACE ${MERIT_TORCH_DIR}/lib/libtorch_cpu.so ${MERIT_TORCH_DIR}/lib/libc10.so)
  # The program's own OpenMP loops must run on libtorch's runtime: the libgomp inside the wheel.
  file(GLOB MERIT_GOMP ${MERIT_TORCH_DIR}/lib/libgomp*.so*)
  if(MERIT_GOMP)
    list(GET MERIT_GOMP 0 MERIT_GOMP)
    target_link_libraries(merit_torch INTERFACE ${MERIT_GOMP})
  endif()
  target_compile_options(merit_torch INTERFACE -fopenmp)
endif()
