#pragma once

namespace merit {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace merit
