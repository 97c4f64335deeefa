// A llama folder with random weights and one token a byte, for tests of what runs a whole model.
#pragma once

#include <cstdint>
#include <filesystem>

namespace merit::test {

// A new folder below the test's temporary folder; equal seeds give equal bytes.
std::filesystem::path write_tiny_model(uint64_t seed);

}  // namespace merit::test
