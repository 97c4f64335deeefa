// Fast content hashes (XXH3): for identity of data and caches, not against an adversary.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace merit {

uint64_t hash64(std::string_view bytes, uint64_t seed = 0);
// XXH3-128 as 32 hex digits.
std::string hash_hex(std::string_view bytes);
std::string hash_file(const std::filesystem::path& path);

// The same as hash_hex over the pieces given in turn.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void update(std::string_view bytes);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace merit
