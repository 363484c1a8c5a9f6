// The mean of each channel.
static void apply_global_average_pool(const float *x, float *y, int channels, int sites)
{
    for (int channel = 0; channel < channels; channel++) {
        float sum = 0.0f;
        for (int i = 0; i < sites; i++)
            sum += *x++;
        y[channel] = sum / (float)sites;
    }
}
