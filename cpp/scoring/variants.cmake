# The scoring kernels, compiled once for each instruction set; which one runs is decided at run time (dispatch.cpp).
# Makes VARIANTS, an object library scoring_VARIANT for each, and WARNINGS.
set(WARNINGS -Wall -Wextra -Wconversion -Werror)
set(VARIANTS portable)
set(OPTIONS_portable "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND VARIANTS avx2 avx512)
  set(OPTIONS_portable -march=x86-64-v2)
  set(OPTIONS_avx2 -mavx2 -mfma)
  set(OPTIONS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
endif()
foreach(VARIANT IN LISTS VARIANTS)
  add_library(scoring_${VARIANT} OBJECT "${CMAKE_CURRENT_LIST_DIR}/variant.cpp")
  set_target_properties(scoring_${VARIANT} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  target_compile_definitions(scoring_${VARIANT} PRIVATE NETSIEVE_VARIANT=${VARIANT})
  target_compile_options(scoring_${VARIANT} PRIVATE ${WARNINGS} ${OPTIONS_${VARIANT}} -fno-math-errno -fno-trapping-math
    -Wno-maybe-uninitialized -Wno-uninitialized)  # GCC 12 takes its own _mm512_undefined_ps for a mistake
endforeach()
