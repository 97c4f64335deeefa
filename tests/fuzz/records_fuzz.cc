// fuzz: DEPS data
// Any bytes are read as rows and groups, or refused with a typed error; every row is used or counted as dropped.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "merit/data/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("records", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  merit::data::ReadOptions options;
  options.bad_rows = merit::data::BadRowPolicy::kSkip;
  options.max_row_bytes = 1 << 12;
  try {
    const merit::data::GroupFile file = merit::data::read_groups(path, options);
    if (file.counts.used != file.groups.size()) std::abort();
    if (file.counts.used + file.counts.dropped_total() != file.counts.read) std::abort();
    for (const merit::data::Group& group : file.groups) {
      for (const merit::data::Candidate& candidate : group.candidates) merit::text_of(candidate.content);
      if (!group.prompt) std::abort();
      merit::text_of(*group.prompt);
    }
  } catch (const merit::Error&) {
  }
  return 0;
}
