"""Ask an endpoint: now, as a stream, or for an answer that will be an object in S3.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Runtime.html
"""
