// Detects objects in an image with a whole graph of scenekit (`whole.onnx`) and ONNX Runtime's C API alone.
//
//   c++ -std=c++17 -O2 examples/whole_graph.cpp -I $ORT/include -L $ORT/lib -Wl,-rpath,$ORT/lib -lonnxruntime -o whole_graph
//   ./whole_graph out/whole.onnx image.ppm
//
// The image is a binary PPM of the size of the graph. A line is written for each object: its class (its place among the
// things of the vocabulary in whole.json), its score, its box in pixels, and how many pixels of its 28 x 28 mask are on.

#include <onnxruntime_c_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

static const OrtApi* ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);

static void check(OrtStatus* status) {
    if (status == nullptr) return;
    std::string message = ort->GetErrorMessage(status);
    ort->ReleaseStatus(status);
    throw std::runtime_error(message);
}

struct Image {
    std::int64_t height, width;
    std::vector<float> pixels;  // channel, row, column; 0..1
};

static std::int64_t header_number(std::istream& file) {
    while ((file >> std::ws).peek() == '#') file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    std::int64_t number = 0;
    file >> number;
    return number;
}

static Image read_ppm(const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    file >> magic;
    const std::int64_t width = header_number(file), height = header_number(file), most = header_number(file);
    if (!file || magic != "P6" || width < 1 || height < 1 || most != 255)
        throw std::runtime_error(std::string(path) + ": expected a binary PPM with 255 levels");
    file.get();
    std::vector<unsigned char> bytes(3 * width * height);
    if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
        throw std::runtime_error(std::string(path) + ": ends before its last pixel");
    Image image{height, width, std::vector<float>(bytes.size())};
    for (std::int64_t place = 0; place < height * width; ++place)
        for (std::int64_t channel = 0; channel < 3; ++channel)
            image.pixels[channel * height * width + place] = static_cast<float>(bytes[3 * place + channel]) / 255;
    return image;
}

static std::vector<std::string> names_of(const OrtSession* session, bool inputs) {
    OrtAllocator* allocator;
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    std::size_t count;
    check(inputs ? ort->SessionGetInputCount(session, &count) : ort->SessionGetOutputCount(session, &count));
    std::vector<std::string> names;
    for (std::size_t place = 0; place < count; ++place) {
        char* name;
        check(inputs ? ort->SessionGetInputName(session, place, allocator, &name)
                     : ort->SessionGetOutputName(session, place, allocator, &name));
        names.emplace_back(name);
        check(ort->AllocatorFree(allocator, name));
    }
    return names;
}

static OrtValue* tensor(std::vector<float>& values, const std::vector<std::int64_t>& shape) {
    OrtMemoryInfo* memory;
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    OrtValue* value = nullptr;
    OrtStatus* status = ort->CreateTensorWithDataAsOrtValue(memory, values.data(), values.size() * sizeof(float),
                                                            shape.data(), shape.size(),
                                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value);
    ort->ReleaseMemoryInfo(memory);
    check(status);
    return value;
}

template <typename T>
static const T* data(OrtValue* value) {
    void* values;
    check(ort->GetTensorMutableData(value, &values));
    return static_cast<const T*>(values);
}

static std::vector<std::int64_t> shape_of(const OrtValue* value) {
    OrtTensorTypeAndShapeInfo* info;
    check(ort->GetTensorTypeAndShape(value, &info));
    std::size_t count;
    check(ort->GetDimensionsCount(info, &count));
    std::vector<std::int64_t> shape(count);
    check(ort->GetDimensions(info, shape.data(), count));
    ort->ReleaseTensorTypeAndShapeInfo(info);
    return shape;
}

static void detect(const char* model, const char* path) {
    OrtEnv* environment;
    OrtSessionOptions* options;
    OrtSession* session;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "whole_graph", &environment));
    check(ort->CreateSessionOptions(&options));
    check(ort->CreateSession(environment, model, options, &session));

    Image image = read_ppm(path);
    // Without calibration: a focal length as long as the longer side.
    const float focal = static_cast<float>(std::max(image.height, image.width));
    std::vector<float> K = {focal, 0, image.width / 2.0f, 0, focal, image.height / 2.0f, 0, 0, 1};
    std::vector<std::string> inputs = names_of(session, true), outputs = names_of(session, false);
    std::vector<const char*> input_names, output_names;
    std::vector<OrtValue*> fed, results(outputs.size(), nullptr);
    for (const std::string& name : inputs) {
        input_names.push_back(name.c_str());
        fed.push_back(name == "camera" ? tensor(K, {1, 3, 3})
                                       : tensor(image.pixels, {1, 3, image.height, image.width}));
    }
    for (const std::string& name : outputs) output_names.push_back(name.c_str());
    check(ort->Run(session, nullptr, input_names.data(), fed.data(), fed.size(), output_names.data(),
                   output_names.size(), results.data()));

    std::map<std::string, OrtValue*> values;
    for (std::size_t place = 0; place < outputs.size(); ++place) values[outputs[place]] = results[place];
    const bool* valid = data<bool>(values.at("valid"));
    const std::int64_t* labels = data<std::int64_t>(values.at("labels"));
    const float* scores = data<float>(values.at("scores"));
    const float* boxes = data<float>(values.at("boxes"));
    const float* masks = values.count("masks") ? data<float>(values["masks"]) : nullptr;
    const std::int64_t cells = masks ? shape_of(values["masks"])[1] * shape_of(values["masks"])[2] : 0;
    for (std::int64_t row = 0; row < shape_of(values["scores"])[0]; ++row) {
        if (!valid[row]) continue;
        std::int64_t inside = 0;
        for (std::int64_t cell = 0; cell < cells; ++cell) inside += masks[row * cells + cell] >= 0.5f;
        std::printf("%lld %.4f %.2f %.2f %.2f %.2f %lld\n", static_cast<long long>(labels[row]), scores[row],
                    boxes[4 * row], boxes[4 * row + 1], boxes[4 * row + 2], boxes[4 * row + 3],
                    static_cast<long long>(inside));
    }
    for (OrtValue* value : fed) ort->ReleaseValue(value);
    for (OrtValue* value : results) ort->ReleaseValue(value);
    ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options);
    ort->ReleaseEnv(environment);
}

int main(int count, char** arguments) {
    if (count != 3) {
        std::cerr << "usage: whole_graph whole.onnx image.ppm\n";
        return 2;
    }
    try {
        detect(arguments[1], arguments[2]);
    } catch (const std::exception& error) {
        std::cerr << "whole_graph: " << error.what() << "\n";
        return 2;
    }
    return 0;
}
