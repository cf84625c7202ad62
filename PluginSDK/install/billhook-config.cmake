# find_package(billhook) gives the target billhook::sdk, with the headers for C and C++, and
#
#   billhook_add_plugin(NAME SOURCE...)
#
# which builds NAME.so, a plugin that shows its entry and nothing else.
get_filename_component(_billhook_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(BILLHOOK_PLUGIN_DIR "${_billhook_prefix}/lib/billhook/plugins")
set(_billhook_map "${_billhook_prefix}/share/billhook/billhook.map")

if(NOT TARGET billhook::sdk)
  add_library(billhook::sdk INTERFACE IMPORTED)
  set_target_properties(billhook::sdk PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_billhook_prefix}/include")
endif()

function(billhook_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE billhook::sdk m "-Wl,--version-script=${_billhook_map}")
  target_compile_features(${name} PRIVATE c_std_11 cxx_std_17)
  set_target_properties(${name} PROPERTIES
    PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
    LINK_DEPENDS "${_billhook_map}")
endfunction()
