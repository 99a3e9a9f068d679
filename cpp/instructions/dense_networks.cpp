// Records to columns, and dense networks over them: the shapes that detectors have unless told otherwise.
#include <algorithm>
#include <string>
#include <utility>

#include "../scoring/plan.hpp"
#include "records.hpp"

namespace netsieve::instructions {

namespace {

// netsieve.engine.detectors.autoencoder: widths of the encoder, from the columns to the code
std::vector<std::int32_t> encoder_widths(std::size_t columns) {
    const auto width = static_cast<std::int32_t>(columns);
    const std::int32_t widest = std::clamp(2 * width, 32, 128);
    return {width, widest, widest / 2, std::clamp(width / 3, 2, 16)};
}

Kernel* autoencoder(const Variant& variant, Numbers& numbers, const Records& records, Aggregation aggregation) {
    const std::size_t columns = records.feature().size();
    std::vector<std::int32_t> widths = encoder_widths(columns);
    const Layers encoder = layers_between(numbers, widths, true);
    Layers latent;
    latent.add(numbers, widths.back(), widths.back(), 1);
    std::reverse(widths.begin(), widths.end());
    const Layers decoder = layers_between(numbers, widths, true);
    const std::vector<float> weight(columns, 0.5f);
    const bool is_log_mean = aggregation == Aggregation::log_mean;
    return variant.dense_autoencoder({.encoder = encoder.values(),
                                      .decoder = decoder.values(),
                                      .one_hot = values_of(records.one_hot()),
                                      .aggregation = aggregation,
                                      .error_weight = values_of(weight),
                                      .share = is_log_mean ? 1 / static_cast<float>(columns) : 1,
                                      .feature = values_of(records.feature()),
                                      .features = records.features(),
                                      .latent = is_log_mean ? latent.values()[0] : DenseLayerParameters{},
                                      .latent_divisor = is_log_mean ? static_cast<float>(widths.front()) : 1,
                                      .base_score = 1});
}

void add_transposition(const Variant& variant, const Records& records, const std::string& features, Cases& cases) {
    const auto width = static_cast<std::size_t>(records.features());
    const auto memory = std::make_shared<Columns>(width, width);
    const auto raw = std::make_shared<const std::vector<float>>(records.raw(), records.raw() + rows * width);
    const auto run = [&variant, memory, raw, width] {
        for (std::size_t block = 0; block < blocks; ++block) {
            const std::size_t at = block * block_rows * width;
            variant.transpose(raw->data() + at, block_rows, static_cast<int>(width), memory->columns.data() + at);
            variant.transpose_back(memory->columns.data() + at, block_rows, static_cast<int>(width),
                                   memory->results.data() + at);
        }
    };
    const auto sound = [memory, raw] {
        for (std::size_t i = 0; i < raw->size(); ++i)
            if (const float value = (*raw)[i]; value == value && memory->results.data()[i] != value) return false;
        return true;
    };
    cases.push_back({"rows to columns and back" + features, variant.name, "row", rows, run, sound});
}

// A table of int64 and float64 columns in turn, as logs have them, into lanes
void add_column_loading(const Variant& variant, std::size_t features, Cases& cases) {
    struct Table {
        std::vector<std::int64_t> integers;
        std::vector<double> numbers;
        std::vector<CellColumn> columns;
        Columns memory;
    };
    Numbers numbers(features);
    const auto table = std::make_shared<Table>(Table{{}, {}, {}, Columns(features, 1)});
    for (std::size_t i = 0; i < features * rows; ++i) {
        table->integers.push_back(static_cast<std::int64_t>(numbers.below(1 << 20)));
        table->numbers.push_back(numbers.normal());
    }
    for (std::size_t f = 0; f < features; ++f) {
        if (f % 2)
            table->columns.push_back({table->integers.data() + f * rows, CellType::int64});
        else
            table->columns.push_back({table->numbers.data() + f * rows, CellType::float64});
    }
    const auto run = [&variant, table, features] {
        for (std::size_t block = 0; block < blocks; ++block)
            variant.load_columns(table->columns.data(), static_cast<int>(features), block * block_rows, block_rows,
                                 3e38f, table->memory.columns.data() + block * block_rows * features);
    };
    const auto sound = [table] {
        return table->memory.columns.data()[0] == static_cast<float>(table->numbers[0]) &&
               table->memory.columns.data()[stripe_rows] == static_cast<float>(table->integers[rows]);
    };
    cases.push_back(
        {"columns of a table, " + std::to_string(features) + " features", variant.name, "row", rows, run, sound});
}

void add_preparation(const Variant& variant, const Records& records, const std::string& features, Cases& cases) {
    const std::shared_ptr<const Preparation> preparation = records.preparation(variant);
    const auto memory = std::make_shared<Columns>(records.transposed(variant, records.feature().size()));
    const auto run = [preparation, memory] {
        const std::size_t from = memory->columns.size() / blocks, to = memory->results.size() / blocks;
        for (std::size_t block = 0; block < blocks; ++block)
            preparation->prepare(memory->columns.data() + block * from, most_stripes, block_rows,
                                 memory->results.data() + block * to);
    };
    const auto sound = [memory] { return all_finite(memory->results.data(), memory->results.size()); };
    cases.push_back({"preparation" + features, variant.name, "row", rows, run, sound});
}

// From a raw record to its score, one at a time
void add_single_records(const Variant& variant, Numbers& numbers, const Records& records, const std::string& features,
                        Cases& cases) {
    constexpr std::size_t singles = 96;
    const std::shared_ptr<const Kernel> kernel(autoencoder(variant, numbers, records, Aggregation::log_mean));
    const auto plan = std::make_shared<const Plan>(variant, records.preparation(variant), nullptr,
                                                   std::vector<std::shared_ptr<const Kernel>>{kernel}, nullptr, -1);
    const auto width = static_cast<std::size_t>(records.features());
    const auto raw = std::make_shared<const std::vector<float>>(records.raw(), records.raw() + singles * width);
    const auto scores = std::make_shared<std::vector<float>>(singles);
    const auto run = [plan, raw, scores, width] {
        for (std::size_t row = 0; row < singles; ++row) plan->score(raw->data() + row * width, 1, scores->data() + row);
    };
    const auto sound = [scores] { return all_finite(scores->data(), singles) && (*scores)[0] != (*scores)[1]; };
    cases.push_back({"autoencoder, one record at a time" + features, variant.name, "row", singles, run, sound});
}

}  // namespace

void add_network_cases(const Variant& variant, Cases& cases) {
    const std::pair<std::size_t, std::vector<std::int32_t>> shapes[] = {{10, {6, 12}}, {41, {5, 34, 13}}, {115, {}}};
    for (const auto& [count, codes] : shapes) {
        Numbers numbers(count);
        const Records records(numbers, count, codes);
        const std::string features = ", " + std::to_string(count) + " features";
        add_transposition(variant, records, features, cases);
        add_column_loading(variant, count, cases);
        add_preparation(variant, records, features, cases);
        add_kernel_case(cases, variant, "autoencoder" + features,
                        autoencoder(variant, numbers, records, Aggregation::log_mean), records.prepared(variant));
        if (count != 41) continue;
        add_kernel_case(cases, variant, "autoencoder, squared errors" + features,
                        autoencoder(variant, numbers, records, Aggregation::sum), records.prepared(variant));
        add_kernel_case(cases, variant, "autoencoder, errors by feature" + features,
                        autoencoder(variant, numbers, records, Aggregation::log_mean), records.prepared(variant, count),
                        true);
        add_single_records(variant, numbers, records, features, cases);
    }
}

}  // namespace netsieve::instructions
