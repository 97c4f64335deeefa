// The filters of sequences and mappings.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "merit/core/strings.h"
#include "merit/text/jinja_functions.h"

namespace merit::text::jinja {

Value fold_case(const Value& value) {
  return value.text() != nullptr ? Value(map_case(*value.text(), Case::kLower)) : value;
}

Value get_path(Engine& engine, const Value& value, const Value& path) {
  if (path.text() == nullptr) return get_item(engine, value, path);
  Value at = value;
  for (std::string_view part : split(path.text()->bytes, '.')) {
    int64_t index = 0;
    const auto [end, problem] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool whole = problem == std::errc() && end == part.data() + part.size() && part[0] != '-';
    at = get_item(engine, at, whole ? Value(index) : make_text(part));
  }
  return at;
}

namespace {

Value list_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("list", arguments, {});
  return make_list(iterate(engine, subject));
}

Value generator(std::vector<Value> items) { return make_sequence(Sequence::kGenerator, std::move(items)); }

Value items_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("items", arguments, {});
  if (subject.is_undefined()) return generator({});
  if (subject.dict() == nullptr) fail(ErrorKind::kData, "items of a '{}': only a mapping has them", type_name(subject));
  std::vector<Value> out;
  engine.charge(subject.dict()->entries.size());
  for (const auto& [key, value] : subject.dict()->entries) out.push_back(make_tuple({key, value}));
  return generator(std::move(out));
}

Value first_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("first", arguments, {});
  if (Sequence* s = subject.sequence(); s != nullptr && s->kind == Sequence::kGenerator && s->next < s->items.size()) {
    return s->items[s->next++];
  }
  const std::vector<Value> items = iterate(engine, subject);
  return items.empty() ? Value(Undefined{"no first item, the sequence was empty"}) : items.front();
}

Value last_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("last", arguments, {});
  if (const Sequence* s = subject.sequence(); s != nullptr && s->kind == Sequence::kGenerator) {
    fail(ErrorKind::kData, "a generator has no last item; write |list before it");
  }
  const std::vector<Value> items = iterate(engine, subject);
  return items.empty() ? Value(Undefined{"no last item, the sequence was empty"}) : items.back();
}

Value reverse_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("reverse", arguments, {});
  std::vector<Value> items = iterate(engine, subject);
  std::reverse(items.begin(), items.end());
  if (subject.text() == nullptr) return generator(std::move(items));
  return join(engine, {}, items, false);
}

Value join_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("join", arguments, {"d", "attribute"});
  std::vector<Value> items = iterate(engine, subject);
  if (p.has(1) && !p[1].is_none()) {
    for (Value& item : items) item = get_path(engine, item, p[1]);
  }
  return join(engine, p.has(0) ? to_text(engine, p[0]) : Text(), items, true);
}

// Keys to compare items by: the attribute if one is named, letters without case unless asked.
std::vector<Value> keys_of(Engine& engine, const std::vector<Value>& items, const Value* attribute,
                           bool case_sensitive) {
  std::vector<Value> keys;
  for (const Value& item : items) {
    const Value value = attribute != nullptr && !attribute->is_none() ? get_path(engine, item, *attribute) : item;
    keys.push_back(case_sensitive ? value : fold_case(value));
  }
  return keys;
}

// sort's keys are lists, of one attribute too: two values that cannot be ordered but are equal then sort.
std::vector<Value> sort_keys(Engine& engine, const std::vector<Value>& items, const Value* attribute,
                             bool case_sensitive) {
  std::vector<std::vector<Value>> parts(items.size());
  const auto add = [&](const Value* part) {
    std::vector<Value> keys = keys_of(engine, items, part, case_sensitive);
    for (size_t i = 0; i < keys.size(); ++i) parts[i].push_back(std::move(keys[i]));
  };
  if (attribute != nullptr && attribute->text() != nullptr) {
    for (std::string_view name : split(attribute->text()->bytes, ',')) {
      const Value part = make_text(name);
      add(&part);
    }
  } else {
    add(attribute);
  }
  std::vector<Value> keys;
  for (std::vector<Value>& part : parts) keys.push_back(make_list(std::move(part)));
  return keys;
}

// Python's sorted(reverse=) takes a number, not any value.
bool reverse_flag(const Params& p, size_t i) { return p.has(i) && p.integer(i, 0) != 0; }

std::vector<Value> sorted(Engine& engine, const std::vector<Value>& items, const std::vector<Value>& keys,
                          bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Reversed order keeps equal items as they stand, as Python's does.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? less(engine, keys[b], keys[a]) : less(engine, keys[a], keys[b]);
  });
  std::vector<Value> out;
  for (size_t i : order) out.push_back(items[i]);
  return out;
}

Value sort_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(engine, subject);
  return make_list(sorted(engine, items, sort_keys(engine, items, p.has(2) ? &p[2] : nullptr, p.flag(1, false)),
                          reverse_flag(p, 0)));
}

Value dictsort_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = p.has(1) ? p.text(1).bytes : "key";
  if (by != "key" && by != "value") fail(ErrorKind::kData, "dictsort sorts by key or value, not {}", quote(by));
  if (defined(subject).dict() == nullptr) fail(ErrorKind::kData, "dictsort of a '{}'", type_name(subject));
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : subject.dict()->entries) {
    items.push_back(make_tuple({key, value}));
    const Value& sort_by = by == "key" ? key : value;
    keys.push_back(p.flag(0, false) ? sort_by : fold_case(sort_by));
  }
  engine.charge(items.size());
  return make_list(sorted(engine, items, keys, reverse_flag(p, 2)));
}

template <bool kMax>
Value extreme_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p(kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(engine, subject);
  if (items.empty()) return Undefined{"no aggregated item, the sequence was empty"};
  const std::vector<Value> keys = keys_of(engine, items, p.has(1) ? &p[1] : nullptr, p.flag(0, false));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    if (kMax ? less(engine, keys[best], keys[i]) : less(engine, keys[i], keys[best])) best = i;
  }
  return items[best];
}

Value sum_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("sum", arguments, {"attribute", "start"});
  Value total = p.has(1) ? p[1] : Value(int64_t{0});
  if (total.text() != nullptr) fail(ErrorKind::kData, "sum cannot add strings; write |join");
  for (const Value& item : iterate(engine, subject)) {
    total = binary(engine, Op::kAdd, total, p.has(0) && !p[0].is_none() ? get_path(engine, item, p[0]) : item);
  }
  return total;
}

Value unique_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("unique", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(engine, subject);
  const std::vector<Value> keys = keys_of(engine, items, p.has(1) ? &p[1] : nullptr, p.flag(0, false));
  std::vector<Value> out;
  std::vector<Value> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!is_hashable(keys[i])) fail(ErrorKind::kData, "unique of a '{}'", type_name(keys[i]));
    const bool known = std::any_of(seen.begin(), seen.end(), [&](const Value& v) { return equal(engine, v, keys[i]); });
    if (known) continue;
    seen.push_back(keys[i]);
    out.push_back(items[i]);
  }
  return generator(std::move(out));
}

Value batch_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t size = p.integer(0, 1);
  if (size < 1) fail(ErrorKind::kData, "batch wants a size of at least 1");
  std::vector<Value> out;
  std::vector<Value> row;
  for (const Value& item : iterate(engine, subject)) {
    if (static_cast<int64_t>(row.size()) == size) out.push_back(make_list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (p.has(1) && !p[1].is_none()) {
      engine.charge(static_cast<size_t>(size));
      row.resize(static_cast<size_t>(size), p[1]);
    }
    out.push_back(make_list(std::move(row)));
  }
  return generator(std::move(out));
}

Value slice_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("slice", arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> items = iterate(engine, subject);
  const int64_t slices = p.integer(0, 1);
  if (slices < 1) fail(ErrorKind::kData, "slice wants at least 1 slice");
  engine.charge(static_cast<size_t>(slices));
  const size_t n = static_cast<size_t>(slices);
  std::vector<Value> out;
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t take = items.size() / n + (i < items.size() % n ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<std::ptrdiff_t>(at),
                            items.begin() + static_cast<std::ptrdiff_t>(at + take));
    at += take;
    if (p.has(1) && !p[1].is_none() && i >= items.size() % n) part.push_back(p[1]);
    out.push_back(make_list(std::move(part)));
  }
  return generator(std::move(out));
}

Value groupby_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const std::vector<Value> items = iterate(engine, subject);
  const bool sensitive = p.flag(2, false);
  const auto key_of = [&](const Value& item) {
    const Value value = get_path(engine, item, p[0]);
    return value.is_undefined() && p.has(1) ? p[1] : value;
  };
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(sensitive ? key_of(item) : fold_case(key_of(item)));
  std::vector<Value> out;
  std::vector<Value> group;
  Value last;
  const auto close = [&] {
    if (!group.empty()) out.push_back(make_tuple({key_of(group.front()), make_list(std::exchange(group, {}))}));
  };
  for (const Value& item : sorted(engine, items, keys, false)) {
    const Value key = sensitive ? key_of(item) : fold_case(key_of(item));
    if (!group.empty() && !equal(engine, key, last)) close();
    group.push_back(item);
    last = key;
  }
  close();
  return make_list(std::move(out));
}

Arguments rest(const Arguments& arguments, size_t from) {
  Arguments out;
  out.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(from), arguments.positional.end());
  out.named = arguments.named;
  return out;
}

Value map_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  if (!truthy(subject)) return generator({});
  std::vector<Value> items = iterate(engine, subject);
  if (arguments.positional.empty()) {
    const Params p("map", arguments, {"attribute", "default"}, 1);
    for (Value& item : items) {
      item = get_path(engine, item, p[0]);
      if (item.is_undefined() && p.has(1)) item = p[1];
    }
    return generator(std::move(items));
  }
  const std::string& name = require_text(arguments.positional[0], "the filter of map").bytes;
  const Function filter = find_filter(name);
  if (filter == nullptr) fail(ErrorKind::kUnsupported, "no filter named {}", quote(name));
  const Arguments others = rest(arguments, 1);
  for (Value& item : items) item = filter(engine, item, others);
  return generator(std::move(items));
}

template <bool kKeep, bool kAttribute>
Value select_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  std::vector<Value> out;
  if (!truthy(subject)) return generator({});
  if (kAttribute && arguments.positional.empty()) fail(ErrorKind::kData, "the attribute to select by is missing");
  const size_t at = kAttribute ? 1 : 0;
  Test test = nullptr;
  if (arguments.positional.size() > at) {
    const std::string& name = require_text(arguments.positional[at], "the test").bytes;
    test = find_test(name);
    if (test == nullptr) fail(ErrorKind::kUnsupported, "no test named {}", quote(name));
  }
  const Arguments others = rest(arguments, std::min(at + 1, arguments.positional.size()));
  for (const Value& item : iterate(engine, subject)) {
    const Value value = kAttribute ? get_path(engine, item, arguments.positional[0]) : item;
    if ((test != nullptr ? test(engine, value, others) : truthy(value)) == kKeep) out.push_back(item);
  }
  return generator(std::move(out));
}

}  // namespace

Function find_sequence_filter(std::string_view name) {
  static const std::map<std::string_view, Function> kFilters = {
      {"batch", batch_filter},
      {"dictsort", dictsort_filter},
      {"first", first_filter},
      {"groupby", groupby_filter},
      {"items", items_filter},
      {"join", join_filter},
      {"last", last_filter},
      {"list", list_filter},
      {"map", map_filter},
      {"max", extreme_filter<true>},
      {"min", extreme_filter<false>},
      {"reject", select_filter<false, false>},
      {"rejectattr", select_filter<false, true>},
      {"reverse", reverse_filter},
      {"select", select_filter<true, false>},
      {"selectattr", select_filter<true, true>},
      {"slice", slice_filter},
      {"sort", sort_filter},
      {"sum", sum_filter},
      {"unique", unique_filter},
  };
  const auto found = kFilters.find(name);
  return found != kFilters.end() ? found->second : nullptr;
}

}  // namespace merit::text::jinja
