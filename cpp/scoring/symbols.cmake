# Fails if an object file of variant.cpp defines anything outside its namespace that the linker could share with other
# files. Arguments: NM, OBJECT, VARIANT.
execute_process(COMMAND "${NM}" --demangle --defined-only "${OBJECT}" OUTPUT_VARIABLE symbols RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${NM} cannot read ${OBJECT}")
endif()
string(REGEX MATCHALL "[0-9a-f]+ [WVu] [^\n]*" shared "${symbols}")
list(FILTER shared EXCLUDE REGEX " [WVu] ([^(]*netsieve::${VARIANT}::|DW\\.ref\\.__gxx_personality_v0$)")
if(shared)
  list(JOIN shared "\n  " text)
  message(FATAL_ERROR "the kernels for ${VARIANT} share code with other files (see cpp/scoring/variant.cpp):\n  ${text}")
endif()
