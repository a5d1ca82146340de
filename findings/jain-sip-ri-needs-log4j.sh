#!/usr/bin/env bash
# Guess:  javax.sip:jain-sip-ri 1.3.0-91, resolved by Maven with all that it declares, starts a stack as
#         in its manual.
# Seen:   nothing else is resolved (the API is in the jar, log4j has the scope "provided"), and the stack's
#         constructor needs log4j 1 even with all logging off. What is told is "could not be instantiated.
#         Ensure the Path Name has been set": the path name was set; NoClassDefFoundError of
#         org/apache/log4j/Layout is the cause of the cause. With reload4j beside it the stack starts.
# Needs Maven and a JDK (Debian: maven, default-jdk-headless). Ends with "as seen" (0), or says what has
# changed (1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>example</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>javax.sip</groupId><artifactId>jain-sip-ri</artifactId><version>1.3.0-91</version></dependency>
  </dependencies>
</project>
XML
cat >Start.java <<'JAVA'
import java.util.Properties;
import javax.sip.SipFactory;

public final class Start {
    public static void main(String[] arguments) {
        SipFactory factory = SipFactory.getInstance();
        factory.setPathName("gov.nist");
        Properties properties = new Properties();
        properties.setProperty("javax.sip.STACK_NAME", "finding");
        properties.setProperty("gov.nist.javax.sip.TRACE_LEVEL", "0");
        try {
            System.out.println("started " + factory.createSipStack(properties).getStackName());
        } catch (Throwable failure) {
            Throwable root = failure;
            while (root.getCause() != null && !(root instanceof NoClassDefFoundError)) root = root.getCause();
            System.out.println(failure.getMessage() + " | " + root);
        }
        System.exit(0);
    }
}
JAVA
export MAVEN_OPTS="-Dstyle.color=never"
resolve() { mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory="$folder/jars"; }
resolve
jars=$(cd jars && echo *)
javac -cp 'jars/*' Start.java
without=$(java -cp '.:jars/*' Start 2>/dev/null)
sed -i 's|</dependencies>|<dependency><groupId>ch.qos.reload4j</groupId><artifactId>reload4j</artifactId><version>1.2.25</version></dependency></dependencies>|' pom.xml
resolve
with=$(java -cp '.:jars/*' Start 2>/dev/null)
printf 'resolved: %s\nwithout: %s\nwith reload4j: %s\n' "$jars" "$without" "$with"
[ "$jars" = jain-sip-ri-1.3.0-91.jar ] || { echo "changed: other things are resolved"; exit 1; }
[[ $without == *"Ensure the Path Name has been set"*"org/apache/log4j/Layout"* ]] || { echo "changed"; exit 1; }
[ "$with" = "started finding" ] || { echo "changed"; exit 1; }
echo "jain-sip-ri 1.3.0-91: as seen"
