#include "merit/report/page.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "merit/report/selection_report.h"
#include "merit/report/svg.h"
#include "merit/search/selection.h"
#include "tests/report/markup_support.h"

namespace merit::report {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kHostile = "</script><img src=x onerror=\"alert(1)\">\x01\x7f\xff\u202E\u05E9'&";

TEST(EscapeHtml, LeavesNothingThatCanActOnThePage) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
  EXPECT_EQ(escape_html("a\tb\r\nc\rd"), "a\tb\nc\u240Dd");
  EXPECT_EQ(escape_html(std::string("\0\x1b\x7f", 3)), "\u2400\u241B\u2421");
  EXPECT_EQ(escape_html("\u0085\xff\xc3"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(escape_html("a\u202Eb\u2066"), "a[U+202E]b[U+2066]");
  EXPECT_EQ(escape_html("naïve שלום \U0001F98A"), "naïve שלום \U0001F98A");
}

TEST(EscapeHtml, CutsAtCharactersAndSaysHowMuchIsMissing) {
  EXPECT_EQ(escape_html_cut("äöüß", 2), "äö… (2 more characters)");
  EXPECT_EQ(escape_html_cut("äö", 2), "äö");
  EXPECT_EQ(escape_html_cut(std::string(20000, '<'), 1), "&lt;… (19,999 more characters)");
}

TEST(Page, EverythingFromRecordsIsEscapedAndTheMarkupIsSound) {
  Page page(kHostile, kHostile);
  page.verdict("good", kHostile);
  page.key_figures({{kHostile, kHostile, kHostile}});
  page.section(kHostile, kHostile);
  page.paragraph(kHostile);
  page.figure(bar_chart({kHostile, kHostile, kHostile, kHostile}, {{kHostile, 1}}, false), kHostile);
  page.table({kHostile, {{kHostile, false}, {kHostile, true}}, {{kHostile, kHostile}}, true});
  page.examples({{kHostile, kHostile, kHostile, {{kHostile, kHostile, kHostile, true}}}});
  page.facts({{kHostile, kHostile}});
  std::string html = page.html();
  Markup markup = read_markup(html);
  EXPECT_EQ(markup.error, "");
  EXPECT_EQ(markup.count("script"), 1u);  // the page's own
  EXPECT_EQ(markup.count("img"), 0u);
  EXPECT_THAT(html, Not(HasSubstr("onerror=\"")));
  for (char c : html) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
}

TEST(Page, LoadsNothingAndRunsOnlyItsOwnScript) {
  Page page("t", "s");
  page.paragraph("p");
  std::string html = page.html();
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, HasSubstr("script-src 'nonce-"));
  EXPECT_THAT(html, Not(HasSubstr("http://")));
  EXPECT_THAT(html, Not(HasSubstr("https://")));
  Page other("t", "s");
  other.paragraph("q");
  size_t at = html.find("nonce-");
  EXPECT_NE(html.substr(at, 38), other.html().substr(at, 38));  // no record can know its page's nonce
}

TEST(Page, NumbersSortByValue) {
  Page page("t", "");
  page.table(
      {"", {{"n", true}}, {{"41.2% [36.0, 46.9]"}, {"12,345"}, {"+3.2 [-1.0, +7.4]"}, {"n/a"}, {"-0.5"}}, false});
  std::string html = page.html();
  EXPECT_THAT(html, HasSubstr("data-v=\"41.2\">41.2% [36.0, 46.9]"));
  EXPECT_THAT(html, HasSubstr("data-v=\"12345\">"));
  EXPECT_THAT(html, HasSubstr("data-v=\"3.2\">"));
  EXPECT_THAT(html, HasSubstr("data-v=\"-0.5\">"));
  EXPECT_THAT(html, HasSubstr("<td class=\"num\">n/a"));
}

search::SelectionGroup group(const std::string& id, std::vector<double> scores, const std::string& right) {
  search::SelectionGroup g{id, "family", "prompt of " + id, "42", {}};
  for (size_t i = 0; i < scores.size(); ++i) {
    g.candidates.push_back(
        {"text " + std::to_string(i) + " of " + id, scores[i], right[i] == 'r', right[i] == 'r' ? "42" : "0"});
  }
  return g;
}

TEST(SelectionReport, TheVerdictSentenceSaysItAll) {
  std::vector<search::SelectionGroup> groups = {group("a", {1, 2}, "rw"), group("b", {1, 2}, "wr")};
  search::SelectionSummary s = search::summarise(groups);
  s.all.chosen.value = 0.412;
  s.all.mean.value = 0.38;
  s.all.gain.value = 0.032;
  s.all.gain.interval = {-0.01, 0.074, 0.95, "x"};
  EXPECT_EQ(verdict_sentence(s, "R"),
            "Best-of-2 with R: 41.2% against 38.0% for a random answer: +3.2 points [-1.0, +7.4], not shown to help.");
  s.all.verdict = search::Verdict::kLoss;
  EXPECT_THAT(verdict_sentence(s, "R"), HasSubstr("it hurts."));
}

TEST(SelectionReport, ShowsTheWidestMistakeFirstWithBothAnswers) {
  std::vector<search::SelectionGroup> groups = {group("small", {1.0, 1.5}, "rw"), group("big", {-5.0, 4.0}, "rw"),
                                                group("fine", {2.0, 1.0}, "rw"), group("hopeless", {1, 2}, "ww")};
  search::SelectionSummary s = search::summarise(groups);
  std::string html = selection_report(groups, s, {.scorer = "R", .data = "d"});
  EXPECT_EQ(read_markup(html).error, "");
  EXPECT_THAT(html, HasSubstr("2 problems had a right candidate and a wrong one was chosen"));
  size_t big = html.find("9.000 ahead"), small = html.find("0.500 ahead");
  ASSERT_NE(big, std::string::npos);
  EXPECT_LT(big, small);
  EXPECT_THAT(html, HasSubstr("text 1 of big"));
  EXPECT_THAT(html, HasSubstr("text 0 of big"));
  EXPECT_THAT(html, Not(HasSubstr("text 1 of hopeless")));
}

TEST(SelectionReport, CarriesItsEvidence) {
  std::vector<search::SelectionGroup> groups = {group("a", {1, 2}, "rw"), {}};
  SelectionEvidence e{.scorer = "R",
                      .model = "M",
                      .data = "D",
                      .data_hash = "0123abcd",
                      .version = "9.9",
                      .seed = 77,
                      .read = 5,
                      .dropped = {{"too long", 3}},
                      .facts = {{"temperature", "0.8"}}};
  std::string html = selection_report(groups, search::summarise(groups), e);
  for (const char* fact : {"<dd dir=\"auto\">0123abcd</dd>", "<dd dir=\"auto\">77</dd>", "dropped: too long",
                           "dropped: no candidates", "<dt>problems read</dt><dd dir=\"auto\">5</dd>",
                           "<dt>problems used</dt><dd dir=\"auto\">1</dd>", "temperature"}) {
    EXPECT_THAT(html, HasSubstr(fact));
  }
}

TEST(SelectionReport, HostileRecordsStayText) {
  search::SelectionGroup g = group("x", {std::numeric_limits<double>::quiet_NaN(), 1e308, -INFINITY}, "rwr");
  g.id = g.slice = g.prompt = g.reference = kHostile;
  for (auto& c : g.candidates) c.text = c.key = kHostile + std::string(100000, 'y');
  std::vector<search::SelectionGroup> groups = {g, g, group("b", {INFINITY, 0, 0}, "wrw")};
  for (ScoreScale scale : {ScoreScale::kUnitless, ScoreScale::kLogOdds}) {
    std::string html = selection_report(groups, search::summarise(groups), {.scorer = kHostile, .scale = scale});
    Markup markup = read_markup(html);
    EXPECT_EQ(markup.error, "");
    EXPECT_EQ(markup.count("script"), 1u);
    EXPECT_EQ(markup.count("img"), 0u);
    EXPECT_LT(html.size(), 400000u);
  }
}

TEST(SelectionReport, TheSameInputGivesTheSameBytes) {
  std::vector<search::SelectionGroup> groups = {group("a", {1, 2, 0}, "rwr"), group("b", {1, 2, 3}, "wwr")};
  auto make = [&] { return selection_report(groups, search::summarise(groups, {.seed = 4}), {.scorer = "R"}); };
  EXPECT_EQ(make(), make());
}

TEST(Tables, ForTheTerminalHoldTheSameNumbers) {
  std::vector<search::SelectionGroup> groups = {group("a", {1, 2}, "rw"), group("b", {1, 2}, "wr")};
  search::SelectionSummary s = search::summarise(groups);
  std::string text = accuracy_table(s).render();
  EXPECT_THAT(text, HasSubstr("oracle  "));
  EXPECT_THAT(text, HasSubstr(format_estimate(s.all.oracle)));
  EXPECT_THAT(text, HasSubstr("chosen - mean"));
  EXPECT_THAT(slice_table(s).render(), HasSubstr("family"));
}

}  // namespace
}  // namespace merit::report
