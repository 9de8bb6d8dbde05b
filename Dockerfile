# The demo service of docker-compose.yml. Any service of yours is packed the same way.
FROM python:3.13-slim

WORKDIR /app
COPY requirements/run.txt requirements/run.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/run.txt

COPY pyproject.toml README.md LICENSE _sagalog_ours.py ./
COPY schemas schemas
COPY eventstore eventstore
COPY consumers consumers
COPY sagas sagas
COPY sagalog sagalog
COPY examples examples
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

RUN useradd --create-home service && mkdir /state && chown service /state
USER service
ENV PYTHONUNBUFFERED=1
EXPOSE 8080
CMD ["sagalog", "run", "examples.airline.app:service", "--http", "0.0.0.0:8080"]
