#include "merit/data/reader.h"

#include <fmt/format.h>

namespace merit::data {
namespace {

constexpr size_t kExamples = 5;

}  // namespace

uint64_t ReadCounts::dropped_total() const {
  uint64_t total = 0;
  for (const auto& [reason, count] : dropped) total += count;
  return total;
}

OrderedJson to_json(const ReadCounts& counts) {
  OrderedJson json;
  json["read"] = counts.read;
  json["used"] = counts.used;
  json["dropped"] = OrderedJson::object();
  for (const auto& [reason, count] : counts.dropped) json["dropped"][reason] = count;
  return json;
}

Reader::Reader(const std::string& path, ReadOptions options)
    : rows_(path, options.max_row_bytes), options_(std::move(options)) {}

Group Reader::group_of(Row row) {
  const uint64_t number = row.number;
  Group group = group_of_row(std::move(row.value), options_.columns, number, row.where);
  if (!layout_) {
    layout_ = group.layout;
    layout_where_ = group.where;
  } else if (group.layout != *layout_) {
    throw RowError("mixed layouts", fmt::format("{}: a {} row; expected {} rows only, as at {}: keep one layout a file",
                                                group.where, name_of(group.layout), name_of(*layout_), layout_where_));
  }
  if (const uint64_t first = ids_.insert(group.id, number); first != 0) {
    throw RowError("duplicate id", fmt::format("{}: row {} has the id {} already; expected each id once", group.where,
                                               first, quote(group.id)));
  }
  return group;
}

std::optional<Result<Group>> Reader::next() {
  for (;;) {
    std::optional<Result<Row>> row = rows_.next();
    if (!row) {
      if (counts_.read == 0) fail(ErrorKind::kData, "{}: no records", rows_.name());
      return std::nullopt;
    }
    ++counts_.read;
    std::string reason;
    std::optional<Error> error;
    if (row->ok()) {
      try {
        Group group = group_of(std::move(*row).value());
        ++counts_.used;
        return Result<Group>(std::move(group));
      } catch (const RowError& e) {
        reason = e.reason;
        error = e;
      }
    } else {
      error = row->error();
      reason = error->kind() == ErrorKind::kLimit ? "over a limit" : "not a JSON object";
    }
    ++counts_.dropped[reason];
    if (counts_.examples.size() < kExamples) counts_.examples.emplace_back(error->what());
    if (options_.bad_rows == BadRowPolicy::kFail) return Result<Group>(std::move(*error));
  }
}

GroupFile read_groups(const std::string& path, const ReadOptions& options) {
  Reader reader(path, options);
  GroupFile file;
  while (std::optional<Result<Group>> group = reader.next()) file.groups.push_back(std::move(*group).value());
  file.counts = reader.counts();
  file.content_hash = reader.content_hash();
  return file;
}

}  // namespace merit::data
