// The bootstrap over groups (Efron 1979; BCa: Efron 1987). Groups are drawn, never single candidates, because
// candidates of one prompt are not independent. The same seed gives the same bits on every machine and thread count.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "merit/stats/interval.h"

namespace merit::stats {

struct BootstrapOptions {
  double level = 0.95;
  size_t resamples = 2000;
  uint64_t seed = 0;
  // The range the statistic can take: an interval is never narrower than unanimous_interval() over it, so it is never a
  // point. Infinite limits give no interval narrower than everything.
  double low = 0;
  double high = 1;
};

// A statistic of weighted groups: weights[i] is how often group i was drawn. nullopt where it is undefined (say, an
// AUC of right answers only); such resamples are left out.
using GroupStatistic = std::function<std::optional<double>(std::span<const double> weights)>;

// BCa up to 2,000 groups, percentile above (its correction vanishes as 1/sqrt(n) and costs n evaluations), both named
// in the interval's method. Where unanimous_interval() reaches further, as with few groups or few that differ, the end
// is its end and the method says so; when all resamples agree, or fewer than half are defined, it stands alone. nullopt
// if the statistic is undefined on the data or there are no groups.
std::optional<Estimate> bootstrap(size_t groups, const GroupStatistic& statistic, const BootstrapOptions& options = {});

// The mean of one value a group. Missing values are skipped and counted.
std::optional<Estimate> bootstrap_mean(std::span<const double> values, const BootstrapOptions& options = {});

// The mean of a[i] - b[i] for values in [options.low, options.high]; a pair with a missing side is skipped and
// counted. Error(kData) if the lengths differ.
std::optional<Estimate> paired_difference(std::span<const double> a, std::span<const double> b,
                                          const BootstrapOptions& options = {});

}  // namespace merit::stats
