// Numbers of packets and of capture files, in the byte order that they were written in.
#pragma once

#include <cstdint>
#include <cstring>

namespace netsieve {

inline std::uint16_t network_16(const std::uint8_t* at) { return static_cast<std::uint16_t>((at[0] << 8) | at[1]); }
inline std::uint32_t network_32(const std::uint8_t* at) {
    return (std::uint32_t{at[0]} << 24) | (std::uint32_t{at[1]} << 16) | (std::uint32_t{at[2]} << 8) | at[3];
}

// little: whether the file's numbers are little-endian, whatever this machine's are.
inline std::uint16_t file_16(const std::uint8_t* at, bool little) {
    return little ? static_cast<std::uint16_t>(at[0] | (at[1] << 8)) : network_16(at);
}
inline std::uint32_t file_32(const std::uint8_t* at, bool little) {
    return little ? (std::uint32_t{at[3]} << 24) | (std::uint32_t{at[2]} << 16) | (std::uint32_t{at[1]} << 8) | at[0]
                  : network_32(at);
}

}  // namespace netsieve
