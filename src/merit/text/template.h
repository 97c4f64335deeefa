// Chat templates: the Jinja dialect in which Hugging Face models say how messages become text.
//
// The dialect is Jinja 3.1 as transformers sets it up: trim_blocks and lstrip_blocks on, the immutable sandbox,
// break/continue, `generation` blocks, the globals raise_exception, strftime_now, namespace, range, dict, cycler and
// joiner, and a tojson that writes what Python's json.dumps writes. Output is byte for byte what Jinja prints.
// docs/templates.md lists what is in and what is out; anything out is an Error with line and column.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/text/tokenizer.h"

namespace merit::text {

// What strftime_now reads, as broken-down local time.
using Clock = std::function<std::tm()>;
Clock system_clock();
// Midnight of one day for ever; `date` is YYYY-MM-DD. Error(kData) if it is not a date.
Clock fixed_clock(const std::string& date);
bool is_date(const std::string& date);

struct Rendered {
  std::string text;
  // Bytes that came out of strings inside `messages`, `tools` and `documents` (values and names), through whatever
  // the template did with them. A message's role is scaffolding, not content, while it is letters, digits, - and _.
  // Sorted, disjoint, not touching, not empty.
  std::vector<ByteRange> content;
  // Those of them that came out of messages whose role is "assistant". Same form.
  std::vector<ByteRange> assistant;
  // Bytes written inside {% generation %} blocks: what the assistant said, the mask for training. Same form.
  std::vector<ByteRange> generation;
};

namespace jinja {
struct Program;
}

// A compiled template. Immutable: one object may render in many threads at once.
class ChatTemplate {
 public:
  // Compiles `source` (UTF-8, at most 1 MiB). `where` stands in messages. Error(kData) for broken syntax,
  // Error(kUnsupported) for what the dialect does not have, Error(kLimit) past the bounds; all with line:column.
  static ChatTemplate compile(std::string source, std::string where);

  // Renders with the members of `inputs` (an object) as variables: messages, tools, documents, add_generation_prompt,
  // bos_token and so on. Jinja's rule for what is not there: undefined. Errors have line:column; the template's own
  // raise_exception gives Error(kData) with its message on one line.
  // Bounded in any thread: 10 million steps, 64 MiB of output, nesting; Error(kLimit) past them.
  Rendered render(const OrderedJson& inputs, const Clock& clock = system_clock()) const;

  const std::string& source() const;
  bool has_generation() const;  // a {% generation %} block stands in it
  bool reads_clock() const;     // strftime_now stands in it

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const jinja::Program> program_;
};

}  // namespace merit::text
