# cmake -DPROGRAM=… -DEXPECT=REGEX -P output_test.cmake: the program ends with exit code 0 and prints what matches.
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE code)
message("${output}")
if(NOT code EQUAL 0)
  message(FATAL_ERROR "exit code ${code}")
elseif(NOT output MATCHES "${EXPECT}")
  message(FATAL_ERROR "nothing matches '${EXPECT}'")
endif()
