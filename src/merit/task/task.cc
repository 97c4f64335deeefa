#include "merit/task/task.h"

namespace merit::task {

const std::vector<std::string>& families() {
  static const std::vector<std::string> names = {"arithmetic", "word_problems", "sequences",
                                                 "sorting",    "dates",         "units"};
  return names;
}

OrderedJson to_row(const Problem& problem, bool as_messages) {
  OrderedJson row;
  row["id"] = problem.id;
  if (as_messages) {
    row["prompt"] = OrderedJson::array({{{"role", "user"}, {"content", problem.prompt}}});
  } else {
    row["prompt"] = problem.prompt;
  }
  row["answer"] = problem.answer;
  row["answer_kind"] = verify::name_of(problem.kind);
  row["family"] = problem.family;
  row["difficulty"] = problem.difficulty;
  return row;
}

}  // namespace merit::task
