// What is slid over an image: x is (channels, height, width), y is (out, out_height, out_width).
struct window {
    int channels, height, width;
    int out, out_height, out_width;
    int kernel, stride, padding, dilation, groups;
};
